// The page: send a photo to /v1/recognise and show the answer. All texts are set as text, never as HTML.

import { chooseByDragging, drawOverlay, isWhole } from "/draw.js";

const LARGEST_SIDE = 2048; // pixels; phones take photos that are larger than any network needs
const SENT_AS_THEY_ARE = ["image/jpeg", "image/png", "image/webp"];
const SENT_BYTES = 3e6;
const byId = (id) => document.getElementById(id);
const state = { photo: null, url: "", part: null, result: null, key: sessionStorage.getItem("key") || "", last: 0, retry: recognise };

// --- requests

async function ask(route, options = {}) {
  const headers = state.key ? { Authorization: `Bearer ${state.key}` } : {};
  const response = await fetch(route, { ...options, headers: { ...headers, ...options.headers } });
  if (response.ok) return response;
  byId("key-form").hidden = response.status !== 401;
  if (response.status === 401) byId("key").focus();
  const problem = await response.json().catch(() => ({ error: `The service answered with status ${response.status}.` }));
  throw new Error(problem.error);
}

async function recognise() {
  if (!state.photo) return;
  const number = ++state.last;
  setStatus("Recognising …");
  byId("result").setAttribute("aria-busy", "true");
  try {
    const query = new URLSearchParams({ top: 6, explain: true });
    if (state.part) query.set("box", state.part.map((share) => share.toFixed(4).replace(/^1\.\d+/, "1")).join());
    const send = (search) =>
      ask(`/v1/recognise?${search}`, { method: "POST", body: state.photo, headers: { "Content-Type": state.photo.type } });
    const response = await send(query).catch((error) => {
      if (!/where it looks|saliency/.test(error.message)) throw error;
      query.delete("explain"); // the run cannot show it
      return send(query);
    });
    const answer = await response.json();
    if (number !== state.last) return; // a newer photo was sent meanwhile
    show(answer);
  } catch (error) {
    if (number === state.last) setStatus(error.message, true);
  } finally {
    byId("result").removeAttribute("aria-busy");
  }
}

// --- the photo

async function takePhoto(file) {
  if (!file) return;
  try {
    state.photo = await smaller(file);
  } catch {
    setStatus("This file is not a photo that the browser can open.", true);
    return;
  }
  URL.revokeObjectURL(state.url);
  Object.assign(state, { url: URL.createObjectURL(state.photo), part: null, result: null, retry: recognise });
  byId("found-section").hidden = true;
  byId("shown").src = state.url;
  byId("invite").hidden = true;
  byId("frame").hidden = false;
  byId("stage").classList.add("filled");
  draw();
  recognise();
}

async function smaller(file) {
  if (SENT_AS_THEY_ARE.includes(file.type) && file.size <= SENT_BYTES) return file;
  const image = await createImageBitmap(file);
  const scale = Math.min(1, LARGEST_SIDE / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(image.width * scale);
  canvas.height = Math.round(image.height * scale);
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}

function draw(preview = state.part) {
  drawOverlay(byId("overlay"), state.result?.saliency, preview, byId("heat").checked);
}

/** Recognise a part of the photo, or the whole photo if it is null. */
function choosePart(part) {
  state.part = part;
  byId("whole").hidden = !part;
  draw();
  recognise();
}

// --- the answer

function show({ results: [result], run, index, timing }) {
  state.result = result;
  const products = result.products || [];
  const answer = result.answer || { path: [], confidences: [] };
  const best = products[0];
  const name = answer.path.at(-1) || "Not sure";
  const confidence = answer.confidences.at(-1);
  byId("kind").textContent = answer.path.slice(0, -1).join(" / ") || (answer.path.length ? "" : "No level is sure enough");
  byId("title").textContent = best?.title || name;
  byId("confidence").textContent = confidence === undefined ? "–" : percent(confidence);
  byId("confidence-text").textContent = best ? `that it is: ${name}` : "confidence";
  const states = Object.values(result.attributes).map(([first]) => first.state);
  fill("tags", [...new Set([...(best ? [name, ...best.tags] : []), ...states])].slice(0, 8), (tag) => [tag]);
  byId("tags").hidden = !byId("tags").children.length;
  if (best) showImage(byId("picture"), best.sku, best.photo, best.title);
  else Object.assign(byId("picture"), { src: state.url, alt: "Your photo" });
  fill("similar", products, productCard);
  byId("similar-section").hidden = !products.length;
  fillBars("path", answer.path.map((step, i) => [step, answer.confidences[i], result.answer.levels[i]]));
  const deepest = Object.entries(result.levels).at(-1);
  fillBars("others", (deepest?.[1] || []).map((one) => [one.class, one.confidence]));
  fillBars("attributes", Object.entries(result.attributes).map(([key, [first]]) => [first.state, first.confidence, key]));
  const voters = (result.neighbours || []).map((one) => [one.id, one.share, `${one.path.at(-1)}, similarity ${one.cosine.toFixed(2)}`]);
  fillBars("why", voters);
  for (const id of ["others", "attributes", "why"]) byId(`${id}-section`).hidden = !byId(id).children.length;
  byId("looking").hidden = !result.saliency;
  byId("part").hidden = !result.saliency || isWhole(result.saliency.box);
  const version = index ? `, index version ${index.version}` : "";
  byId("timing").textContent = `${timing.total_ms.toFixed(0)} ms in the service, run ${run.name}${version}`;
  byId("result").hidden = false;
  byId("main").classList.remove("empty");
  byId("correct-status").textContent = "";
  setStatus(confidence === undefined ? "No level is sure enough." : `${answer.path.join(" / ")}, ${percent(confidence)}`);
  byId("status").classList.add("done"); // for screen readers; the panel shows it
  draw();
}

function percent(share) {
  if (share > 0.9995) return "> 99.9 %";
  if (share < 0.005) return "< 1 %";
  return `${(100 * share).toFixed(share > 0.99 ? 1 : 0)} %`;
}

function fill(id, items, contents) {
  byId(id).replaceChildren(...items.map((item) => element("li", {}, ...contents(item))));
}

function fillBars(id, rows) {
  fill(id, rows, ([name, share, note]) => {
    const label = element("span", {}, name, ...(note ? [element("small", {}, note)] : []));
    const bar = element("span", { className: "bar", ariaHidden: "true" });
    bar.style.width = `${100 * share}%`;
    return [bar, label, element("span", { className: "value" }, percent(share))];
  });
}

function productCard(hit) {
  const image = element("img", { loading: "lazy" });
  showImage(image, hit.sku, hit.photo, "");
  const similarity = hit.cosine === undefined ? [] : [`similarity ${hit.cosine.toFixed(2)}`];
  const note = element("small", {}, [...hit.path.slice(-1), ...similarity].join(" · "));
  return [image, element("b", {}, hit.title || hit.sku), note];
}

async function showImage(image, sku, photo, alt) {
  image.alt = alt;
  image.removeAttribute("src");
  image.dataset.sku = sku;
  const response = await ask(`/v1/products/${encodeURIComponent(sku)}/photo?photo=${photo}`).catch(() => null);
  if (!response || image.dataset.sku !== sku) return;
  const url = URL.createObjectURL(await response.blob());
  image.onload = () => URL.revokeObjectURL(url);
  image.src = url;
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function setStatus(text, isProblem = false, id = "status") {
  byId(id).textContent = text;
  byId(id).classList.remove("done");
  byId(id).classList.toggle("problem", isProblem);
}

// --- search by words

async function search() {
  const words = byId("words").value.trim();
  if (!words) return;
  const number = ++state.last; // an answer about a photo that is still on its way is no longer wanted
  setStatus("Searching …");
  try {
    const body = JSON.stringify({ words });
    const response = await ask("/v1/search?top=24", { method: "POST", body, headers: { "Content-Type": "application/json" } });
    const { results: [products] } = await response.json();
    if (number !== state.last) return;
    byId("found-title").textContent = `Products for “${words}”`;
    fill("found", products, productCard);
    byId("found-section").hidden = !products.length;
    byId("main").classList.toggle("empty", !products.length && byId("result").hidden);
    setStatus(products.length ? `${products.length} products for “${words}”` : `No product has a word of “${words}”.`);
    byId("status").classList.toggle("done", products.length > 0);
  } catch (error) {
    if (number === state.last) setStatus(error.message, true);
  }
}

byId("search-form").addEventListener("submit", (event) => {
  event.preventDefault();
  state.retry = search;
  search();
});

// --- corrections

let waiting = 0;
byId("right").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const words = byId("right").value.split(" / ").at(-1);
    const response = await ask(`/v1/classes?${new URLSearchParams({ words, top: 12 })}`).catch(() => null);
    if (!response) return;
    const { paths } = await response.json();
    byId("paths").replaceChildren(...paths.map((path) => element("option", { value: path.join(" / ") })));
  }, 150);
});

byId("correct-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData();
  form.append("photo", state.photo, "photo");
  form.append("path", byId("right").value);
  form.append("title", byId("right-title").value);
  if (state.part) form.append("box", state.part.map((share) => share.toFixed(4).replace(/^1\.\d+/, "1")).join());
  try {
    await ask("/v1/corrections", { method: "POST", body: form });
    setStatus("Thank you. The correction is kept.", false, "correct-status");
  } catch (error) {
    setStatus(error.message, true, "correct-status");
  }
});

// --- events

for (const id of ["camera", "file"]) {
  byId(id).addEventListener("change", (event) => {
    takePhoto(event.target.files[0]);
    event.target.value = "";
  });
}
addEventListener("paste", (event) => takePhoto(event.clipboardData?.files[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("stage").classList.add("over");
});
addEventListener("dragleave", () => byId("stage").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  byId("stage").classList.remove("over");
  takePhoto(event.dataTransfer?.files[0]);
});
byId("shown").addEventListener("load", () => draw());
addEventListener("resize", () => draw());
byId("heat").addEventListener("change", () => draw());
byId("part").addEventListener("click", () => choosePart(state.result.saliency.box));
byId("whole").addEventListener("click", () => choosePart(null));
chooseByDragging(byId("frame"), draw, choosePart);
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  state.key = byId("key").value;
  sessionStorage.setItem("key", state.key);
  byId("key-form").hidden = true;
  state.retry();
});

fetch("/health")
  .then((response) => response.json())
  .then(({ run, index, corrections }) => {
    byId("run").textContent = `${run.name}${index ? ` · index version ${index.version}` : ""}`;
    byId("correct-section").hidden = !corrections;
    byId("search-form").hidden = !index;
  })
  .catch(() => setStatus("The service does not answer.", true));
