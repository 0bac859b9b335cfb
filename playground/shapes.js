/** What was drawn, in image pixels: rectangles, polygons, brush strokes. No DOM but a canvas to draw on. */

/** What `/inpaint-regions` takes; null when a stroke needs a mask. */
export function asRegions(shapes) {
  if (shapes.some((shape) => shape.kind === "brush")) return null;
  return shapes.map(({ kind, points }) => (kind === "rect" ? box(points) : { points }));
}

export function box([[x1, y1], [x2, y2]]) {
  return { x: Math.min(x1, x2), y: Math.min(y1, y2), width: Math.abs(x2 - x1), height: Math.abs(y2 - y1) };
}

/** Whether it is large enough to be meant. */
export function isWhole({ kind, points }) {
  if (kind === "rect") return points.length === 2 && box(points).width >= 1 && box(points).height >= 1;
  return points.length >= (kind === "polygon" ? 3 : 1);
}

/** Draws a shape; colours and line width are the context's. `fill` false: its outline. */
export function trace(context, { kind, points, size }, fill) {
  context.beginPath();
  if (kind === "rect" && points.length === 2) {
    const { x, y, width, height } = box(points);
    context.rect(x, y, width, height);
  } else {
    for (const [x, y] of points) context.lineTo(x, y);
    if (kind === "polygon") context.closePath();
  }
  if (kind !== "brush") {
    if (fill) context.fill();
    else context.stroke();
    return;
  }
  context.save();
  context.lineWidth = size;
  context.lineCap = context.lineJoin = "round";
  if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
  context.stroke();
  context.restore();
}

/** White where something is to be removed, black elsewhere: a PNG in a Blob. */
export function asMask(shapes, width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "black";
  context.fillRect(0, 0, width, height);
  context.fillStyle = context.strokeStyle = "white";
  for (const shape of shapes) trace(context, shape, true);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
