"""What a worker says how far it is with: :class:`UploadProgressPublisher`, and the same for code without an event loop."""
