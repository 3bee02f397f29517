"""From any video to relations: shots, people, captions, who wears what, and the case folder that training takes.

Each stage is a plain function ``stage(folder, backends, settings)`` that reads and writes named files of a work folder
and does nothing where they are there already. The order is that of ``build.CLIP_STAGES``: what is cheap comes first.
"""
