// Draws over the photo: where the network looks, its box, and the part that the user chooses by dragging.

const HEAT = [224, 64, 32];
const LINE = "#ffd166";

/** Draw a saliency ({seen, box, weights}) and a chosen part, both as shares of the photo, onto the canvas. */
export function drawOverlay(canvas, saliency, part, showHeat) {
  const width = (canvas.width = canvas.clientWidth * devicePixelRatio);
  const height = (canvas.height = canvas.clientHeight * devicePixelRatio);
  const pen = canvas.getContext("2d");
  if (saliency && showHeat) {
    const [left, top, right, bottom] = saliency.seen;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(heatImage(saliency.weights), left * width, top * height, (right - left) * width, (bottom - top) * height);
    if (!isWhole(saliency.box)) drawBox(pen, saliency.box, width, height, [8, 6]);
  }
  if (part) drawBox(pen, part, width, height, []);
}

export const isWhole = (box) => box[2] - box[0] > 0.97 && box[3] - box[1] > 0.97;

function drawBox(pen, [left, top, right, bottom], width, height, dashes) {
  const sides = [left * width, top * height, (right - left) * width, (bottom - top) * height];
  for (const [colour, line] of [["#000a", 5], [LINE, 2.5]]) {
    pen.setLineDash(dashes.map((dash) => dash * devicePixelRatio));
    pen.lineWidth = line * devicePixelRatio;
    pen.strokeStyle = colour;
    pen.strokeRect(...sides);
  }
}

function heatImage(weights) {
  const flat = weights.flat();
  const low = Math.min(...flat);
  const range = Math.max(...flat) - low || 1;
  const image = document.createElement("canvas");
  image.width = weights[0].length;
  image.height = weights.length;
  const pen = image.getContext("2d");
  const pixels = pen.createImageData(image.width, image.height);
  flat.forEach((weight, i) => pixels.data.set([...HEAT, 150 * ((weight - low) / range)], 4 * i));
  pen.putImageData(pixels, 0, 0);
  return image;
}

/** Call `choose` with a part of the photo, as shares, when the user has dragged over the element. */
export function chooseByDragging(element, preview, choose) {
  let start = null;
  const at = (event) => {
    const box = element.getBoundingClientRect();
    const share = (value) => Math.min(1, Math.max(0, value));
    return [share((event.clientX - box.left) / box.width), share((event.clientY - box.top) / box.height)];
  };
  const between = ([x, y], [u, v]) => [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    start = at(event);
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => start && preview(between(start, at(event))));
  element.addEventListener("pointercancel", () => { start = null; preview(null); });
  element.addEventListener("pointerup", (event) => {
    if (!start) return;
    const part = between(start, at(event));
    start = null;
    if (part[2] - part[0] > 0.05 && part[3] - part[1] > 0.05) choose(part);
    else preview(null);
  });
}
