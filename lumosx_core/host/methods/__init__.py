"""Methods that change a model's forward, each as wrappers on a clone of a MODEL."""
