"""One module a back end; only that module imports the back end's library."""
