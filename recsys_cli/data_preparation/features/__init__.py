"""The features of a day, their stored partition, and the labels of a window."""
