/** A picture with words on it, painted here, for those who have none at hand. */

export function sampleImage() {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: 640, height: 400 });
  const context = canvas.getContext("2d");
  const sky = context.createLinearGradient(0, 0, 0, 400);
  for (const [at, colour] of [[0, "#31518f"], [0.55, "#e8a46c"], [0.7, "#4f5f86"], [1, "#20304f"]]) sky.addColorStop(at, colour);
  context.fillStyle = sky;
  context.fillRect(0, 0, 640, 400);
  context.fillStyle = "#f7d9a0";
  context.beginPath();
  context.arc(450, 215, 34, 0, 7);
  context.fill();
  context.fillStyle = "#2b3350";
  context.beginPath();
  context.moveTo(0, 270);
  for (let x = 0; x <= 640; x += 8) context.lineTo(x, 240 + 22 * Math.sin(x / 61) + 12 * Math.sin(x / 23));
  context.lineTo(640, 285);
  context.lineTo(0, 285);
  context.fill();
  context.font = "bold 44px system-ui, sans-serif";
  context.fillStyle = "#fffaf0";
  context.strokeStyle = "#3c1e32";
  context.lineWidth = 5;
  context.strokeText("SUMMER SALE", 60, 100);
  context.fillText("SUMMER SALE", 60, 100);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
