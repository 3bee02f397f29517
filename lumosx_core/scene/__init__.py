"""A scene: references and the words they are bound to, and what there is to say about both."""
