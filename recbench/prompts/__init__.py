"""From windows to token ids: templates, tokenisation and the token trie of the catalogue."""
