"""What ``python dev.py bench NAME`` measures. Never shipped; every figure names its machine."""
