"""Small tools that know nothing of recommendations: errors, dates, threads, kernels and storage."""
