// When the face in view reached the screen.

/** Calls `then` once what stands in the page now has been painted, with the time. Returns what stops it. */
export function afterPaint(then: (at: number) => void): () => void {
  const channel = new MessageChannel();
  let isOver = false;
  channel.port1.onmessage = () => {
    if (!isOver) then(performance.now());
  };
  // A message posted in a frame is read after that frame was handed over; a second frame would be too late.
  const frame = requestAnimationFrame(() => channel.port2.postMessage(0));
  return () => {
    isOver = true;
    cancelAnimationFrame(frame);
    channel.port1.close();
  };
}
