/** One WebSocket. */

const SILENCE_S = 30;

/**
 * The texts of a connection until it closes or breaks, which `closed` then tells (`code`, `reason`), or does not open.
 * With `lively` it counts as broken also when nothing was said for long: a peer that vanished does not close. Rejects
 * when the signal is aborted. Closed when left.
 */
export async function* texts(socket, { hello, lively, signal, closed = {} }) {
  const queue = [];
  let wake = () => {};
  let open = true;
  const end = () => {
    open = false;
    wake();
  };
  const limit = () => setTimeout(end, SILENCE_S * 1000);
  let timer = limit();
  socket.onopen = () => hello && socket.send(hello);
  socket.onmessage = (event) => {
    clearTimeout(timer);
    if (lively) timer = limit();
    queue.push(event.data);
    wake();
  };
  socket.onerror = end;
  socket.onclose = ({ code, reason }) => {
    Object.assign(closed, { code, reason });
    end();
  };
  signal?.addEventListener("abort", end, { once: true });
  try {
    for (;;) {
      signal?.throwIfAborted();
      if (queue.length > 0) yield queue.shift();
      else if (!open) return;
      else await new Promise((resolve) => (wake = resolve));
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
    socket.close();
  }
}
