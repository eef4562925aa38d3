"""What a training needs from the workspace: its context, its memory bounds and `train --plan`."""
