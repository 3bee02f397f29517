"""The only room that imports ``comfy``: sockets, model patching, sampling and folders of ComfyUI 0.3.75 and later."""
