"""From sockets and widgets to scenes, and from scenes to conditioning."""
