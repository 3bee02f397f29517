"""Weight files of every kind: opened, recognised, checked, converted. Every file is taken for untrusted."""
