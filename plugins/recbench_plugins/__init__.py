"""The methods that ship with recbench, each a plugin like a third party's."""
