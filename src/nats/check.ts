/** Lets nats-server judge a configuration file before it takes effect. */
import { execFile } from "node:child_process";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { redactSeeds } from "./server_log.ts";

const CHECK_DEADLINE_MS = 20_000;

/**
 * Runs `nats-server -t -c <file>`.
 *
 * @throws LeafmeshError `server_config_refused` with the server's own words (seeds blotted out), `server_missing` when
 * it cannot be run
 */
export async function checkConfig(binary: string, file: string): Promise<void> {
  const result = await new Promise<{ readonly error: Error | null; readonly output: string }>((resolve) => {
    execFile(binary, ["-t", "-c", file], { timeout: CHECK_DEADLINE_MS }, (error, stdout, stderr) =>
      resolve({ error, output: `${stdout}${stderr}` }),
    );
  });
  if (result.error === null) return;
  const words = redactSeeds(result.output.trim().replace(/^nats-server: /, ""));
  if (words === "") {
    throw new LeafmeshError("server_missing", `Cannot run ${binary}: ${errorText(result.error)}`, {
      cause: result.error,
    });
  }
  const places = words
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => (line.startsWith(`${file}:`) ? `line ${line.slice(file.length + 1)}` : line));
  throw new LeafmeshError("server_config_refused", `nats-server refuses ${file}: ${places.join("; ")}`);
}
