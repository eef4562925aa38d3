"""The second stage: features of each candidate, CatBoost's trees, calibrated scores and SHAP values."""
