"""Weight files in the user's folders: found, loaded, converted, and the small ones that ship."""
