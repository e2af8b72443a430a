"""Recognise photos: python client.py http://127.0.0.1:8000 shoe.jpg bag.jpg, with the key in PRODREC_KEY if needed."""

import json
import os
import sys
import urllib.request
from pathlib import Path

url, *photos = sys.argv[1:]
headers = {"Content-Type": "application/octet-stream", "Authorization": f"Bearer {os.environ.get('PRODREC_KEY', '')}"}
for photo in photos:
    request = urllib.request.Request(f"{url}/v1/recognise?min_confidence=0.5", Path(photo).read_bytes(), headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)["results"][0]["answer"]
    print(photo, " / ".join(answer["path"]) or "(not sure)", *answer["confidences"][-1:])
