"""From bytes to job documents: encodings, formats, positions, files and folders.

Every reader returns plain values and knows where in the text each of them stands; it
does not know what they mean. `loading` brings both together.
"""

from __future__ import annotations
