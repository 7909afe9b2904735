"""What ``expect`` says, word for word, on traces made by hand."""
