"""The one door to upstream features that are private or differ between releases."""
