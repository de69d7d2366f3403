# SPDX-License-Identifier: GPL-2.0
"""What was found out and need not be found out again, kept from one run to the next.

	known = Known(path)
	known.get(key)			# None, or what was said of it
	known.put(key, value)

A key is a text that has all that decides the value. The file may be removed at any time.
"""

import hashlib
import json


class Known:
    def __init__(self, path):
        self.path = path

    def _all(self):
        try:
            return json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}

    @staticmethod
    def _digest(key):
        return hashlib.sha256(key.encode()).hexdigest()

    def get(self, key):
        return self._all().get(self._digest(key))

    def put(self, key, value):
        found = self._all()
        found[self._digest(key)] = value
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(found) + "\n")
        part.replace(self.path)
