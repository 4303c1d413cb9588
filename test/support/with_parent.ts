/** A process of a test must not outlive the test, also when that is killed. */
import process from "node:process";

/** Has this process end in order, as by SIGTERM, when the other end of its standard input is gone: its parent has died. */
export function endWithParent(): void {
  process.stdin.once("end", () => process.kill(process.pid, "SIGTERM"));
  process.stdin.resume();
  process.stdin.unref();
}
