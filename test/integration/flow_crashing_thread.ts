/** A thread of views that fails when it is told to, as one with a fault would: an error that nothing catches, or work without end. */
import "../../src/flow/thread/entry.ts";

const scope = globalThis as unknown as EventTarget;
scope.addEventListener("message", (event) => {
  const { type } = (event as MessageEvent<{ type: string }>).data;
  if (type === "crash") throw new Error("told to fail");
  while (type === "hang") Math.random();
});
