/** A thread of views that fails when it is told to, as one with a fault would: an error that nothing catches. */
import "../../src/flow/thread/entry.ts";

const scope = globalThis as unknown as EventTarget;
scope.addEventListener("message", (event) => {
  if ((event as MessageEvent<{ type: string }>).data.type === "crash") throw new Error("told to fail");
});
