"""Training through the relational forward: the small model on the drawn world, and LoRAs on a user's own cases."""
