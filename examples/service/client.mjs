// Recognise photos: node client.mjs http://127.0.0.1:8000 shoe.jpg bag.jpg, with the key in PRODREC_KEY if needed.
import { readFile } from "node:fs/promises";

const [url, ...photos] = process.argv.slice(2);
const headers = { "Content-Type": "application/octet-stream", Authorization: `Bearer ${process.env.PRODREC_KEY ?? ""}` };
for (const photo of photos) {
  const response = await fetch(`${url}/v1/recognise?min_confidence=0.5`, { method: "POST", headers, body: await readFile(photo) });
  const content = await response.json();
  if (!response.ok) throw new Error(content.error);
  const { path, confidences } = content.results[0].answer;
  console.log(photo, path.join(" / ") || "(not sure)", ...confidences.slice(-1));
}
