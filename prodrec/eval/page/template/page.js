"use strict";
// The category tree: nodes are columns of the JSON in the page. The children of a class are made when it is opened, and
// at most PAGE_SIZE at a time, so a tree of 10,000 classes opens at once. Texts are set as text, never as HTML.
(() => {
  const PAGE_SIZE = 100;
  const MOST_FOUND = 60;
  const { tree, units } = JSON.parse(document.getElementById("data-json").textContent);
  const root = document.getElementById("tree-root");
  const status = document.getElementById("tree-status");
  const search = document.getElementById("tree-search");
  const order = document.getElementById("tree-order");
  const run = document.getElementById("tree-run");
  const children = new Map();
  tree.parent.forEach((parent, node) => {
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(node);
  });

  const chosenRun = () => (run ? Number(run.value) : 0);
  const cell = (node) => (tree.cells[node] ? tree.cells[node][chosenRun()] : null);
  const names = new Intl.Collator();
  const missingLast = (key) => (a, b) => {
    const [x, y] = [cell(a), cell(b)];
    return x && y ? key(x) - key(y) : (x ? 0 : 1) - (y ? 0 : 1);
  };
  const ORDERS = {
    images: (a, b) => tree.images[b] - tree.images[a],
    worst: missingLast((x) => x[0]),
    best: missingLast((x) => -x[0]),
    train: (a, b) => tree.train[a] - tree.train[b],
    name: (a, b) => names.compare(tree.name[a], tree.name[b]),
  };
  const sorted = (nodes) => [...nodes].sort((a, b) => ORDERS[order.value](a, b) || names.compare(tree.name[a], tree.name[b]));

  const element = (tag, name, text) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const tenths = (value) => (value / 10).toFixed(1);
  const signed = (value) => (value < 0 ? "−" : "+") + tenths(Math.abs(value));
  const SVG = "http://www.w3.org/2000/svg";

  function bar([, low, high]) {
    const svg = document.createElementNS(SVG, "svg");
    const set = (target, values) => Object.entries(values).forEach(([key, value]) => target.setAttribute(key, value));
    set(svg, { class: "bar", viewBox: "0 0 1000 10", preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const [name, x, width] of [["bar-low", 0, low], ["bar-range", low, high - low]]) {
      const rect = document.createElementNS(SVG, "rect");
      set(rect, { class: name, x, width, height: 10 });
      svg.append(rect);
    }
    return svg;
  }

  function accuracy(node) {
    const made = element("span", "accuracy");
    const values = cell(node);
    if (!values) {
      made.textContent = `n/a (${tree.images[node] ? "not scored" : `no ${units}`})`;
      return made;
    }
    const text = element("span", "", `${tenths(values[0])} % `);
    text.append(element("span", "ends", `[${tenths(values[1])}, ${tenths(values[2])}]`));
    made.append(bar(values), text);
    return made;
  }

  function change(node) {
    const values = cell(node);
    if (!values || values.length < 6) return element("span", "change");
    const [gain, low, high] = values.slice(3);
    const direction = low > 0 ? "better" : high < 0 ? "worse" : "";
    const sign = { better: "▲ ", worse: "▼ " }[direction] || "";
    const made = element("span", `change ${direction}`, `${sign}${signed(gain)} [${signed(low)}, ${signed(high)}]`);
    made.append(element("span", "hidden", ` points, ${direction || "not certain"}`));
    return made;
  }

  function line(node, tag, path) {
    const made = element(tag, "node");
    if (Object.keys(tree.photo).length) {
      const thumb = element("span", "thumb");
      if (tree.photo[node]) {
        const image = element("img");
        image.src = tree.photo[node];
        image.alt = "";
        thumb.append(image);
      }
      made.append(thumb);
    }
    const name = element("span", "name", tree.name[node]);
    if (path) name.append(element("span", "above", path));
    const counts = element("span", "counts", `${tree.images[node].toLocaleString("en")} ${units}`);
    counts.append(element("br"), `${tree.train[node].toLocaleString("en")} in training`);
    made.append(name, counts, accuracy(node), change(node));
    return made;
  }

  function item(node) {
    const made = element("li");
    const below = children.get(node);
    if (!below) {
      made.append(line(node, "div"));
      return made;
    }
    const details = element("details");
    details.append(line(node, "summary"));
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) details.append(list(below));
    });
    made.append(details);
    return made;
  }

  function list(nodes) {
    const made = element("ul");
    const waiting = sorted(nodes);
    const more = element("button", "more");
    more.type = "button";
    const add = () => {
      const added = waiting.splice(0, PAGE_SIZE).map(item);
      more.remove();
      made.append(...added);
      if (waiting.length) {
        more.textContent = `Show ${Math.min(PAGE_SIZE, waiting.length)} of ${waiting.length.toLocaleString("en")} more`;
        const last = element("li");
        last.append(more);
        made.append(last);
      }
      return added;
    };
    more.addEventListener("click", () => {
      const last = more.parentElement;
      const [first] = add();
      if (last && !last.childElementCount) last.remove();
      first.querySelector("summary")?.focus();
    });
    add();
    return made;
  }

  function path(node) {
    const above = [];
    for (let at = tree.parent[node]; at >= 0; at = tree.parent[at]) above.unshift(tree.name[at]);
    return above.join(" / ");
  }

  function show() {
    const words = search.value.trim().toLocaleLowerCase();
    if (!words) {
      root.replaceChildren(list(children.get(-1) || []));
      status.textContent = "";
      return;
    }
    const found = [];
    tree.name.forEach((name, node) => {
      if (name.toLocaleLowerCase().includes(words)) found.push(node);
    });
    const made = element("ul");
    for (const node of sorted(found).slice(0, MOST_FOUND)) {
      const li = element("li");
      li.append(line(node, "div", path(node)));
      made.append(li);
    }
    root.replaceChildren(made);
    const shown = found.length > MOST_FOUND ? `, the first ${MOST_FOUND} are shown` : "";
    status.textContent = `${found.length.toLocaleString("en")} ${found.length === 1 ? "class" : "classes"} found${shown}.`;
  }

  root.classList.toggle("plain", !Object.keys(tree.photo).length);
  document.getElementById("tree-tools").addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", show);
  for (const choice of [order, run]) choice?.addEventListener("change", show);
  show();
})();
