"""Pictures, faces, video frames and case folders from sockets and widgets."""
