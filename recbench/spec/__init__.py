"""From what a user asks for to a complete, validated experiment."""
