"""The queues alone: each module fills its queue, or works on it, in processes of its own."""
