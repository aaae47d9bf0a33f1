"""The farm's server: decides who measures what (pure), remembers it, and speaks to workers and clients."""
