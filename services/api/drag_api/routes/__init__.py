"""The API's addresses, one module for each group of them."""
