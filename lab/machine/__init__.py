"""What the lab needs of the machine; uses nothing but Python itself.

These modules run before any virtualenv exists.
"""
