/** Follows the log of nats-server, so that its lines become lines of the sidecar's own log. */
import { type FileHandle, open, stat } from "node:fs/promises";
import { sleep } from "./wait.ts";

export interface ServerLogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  /** The server's words, without time and process id. */
  readonly message: string;
}

const LEVELS: Readonly<Record<string, ServerLogLine["level"]>> = {
  TRC: "debug",
  DBG: "debug",
  INF: "info",
  WRN: "warn",
  ERR: "error",
  FTL: "error",
};
const POLL_MS = 250;
const CHUNK_BYTES = 64 * 1024;
const LONGEST_LINE = 16 * 1024;
/** What is read of the log that was written before: hours of a link that fails each second. */
const PAST_BYTES = 4 * 1024 * 1024;

/** `text` with every nkey seed blotted out. */
export function redactSeeds(text: string): string {
  // A public key may hold the same letters, but does not begin with them.
  return text.replace(/(?<![A-Z0-9])S[UANCOX][A-Z2-7]{40,}/g, "[REDACTED]");
}

/** One line of nats-server's log. A line of another form is passed on as info. */
export function parseServerLogLine(line: string): ServerLogLine {
  const found = /^\[\d+\] \S+ \S+ \[([A-Z]{3})\] (.*)$/.exec(line);
  return {
    level: LEVELS[found?.[1] ?? "INF"] ?? "info",
    message: redactSeeds(found?.[2] ?? line),
  };
}

/**
 * Calls `onLine` for what one server process has written to the log, of its last 4 MiB.
 * @returns where that ended: {@link followServerLog} goes on there
 */
export async function readPastLog(
  path: string,
  pid: number,
  onLine: (line: ServerLogLine) => void,
): Promise<number> {
  const file = await open(path, "r").catch(() => null);
  if (file === null) return 0;
  try {
    const { size: end } = await file.stat();
    const bytes = new Uint8Array(Math.min(end, PAST_BYTES));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, end - bytes.length);
    const text = new TextDecoder().decode(bytes.subarray(0, bytesRead));
    const whole = text.lastIndexOf("\n") + 1;
    for (const line of text.slice(0, whole).split("\n")) {
      if (line.startsWith(`[${pid}] `)) onLine(parseServerLogLine(line.slice(0, LONGEST_LINE)));
    }
    return end - Buffer.byteLength(text.slice(whole));
  } finally {
    await file.close();
  }
}

/**
 * Calls `onLine` for every line that is added to the log from now on, also across rotation, until `signal` aborts.
 * Lines longer than 16 KiB are cut.
 *
 * @param from a place in the log, in bytes; `end` passes over what is there already.
 */
export async function followServerLog(
  path: string,
  from: number | "end",
  onLine: (line: ServerLogLine) => void,
  signal: AbortSignal,
): Promise<void> {
  let position = from === "end" ? await size(path) : from;
  while (!signal.aborted) {
    const file = await open(path, "r").catch(() => null);
    if (file !== null) {
      await followFile(path, file, position, onLine, signal).finally(() => file.close());
      position = 0;
    }
    await sleep(POLL_MS, signal);
  }
}

/** Reads one file to its end again and again, until the path names another one. */
async function followFile(
  path: string,
  file: FileHandle,
  position: number,
  onLine: (line: ServerLogLine) => void,
  signal: AbortSignal,
): Promise<void> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(CHUNK_BYTES);
  const { ino } = await file.stat();
  let rest = "";
  let at = position;
  for (;;) {
    // Asked before reading: what the old file got until then is read below, before the new one.
    const replaced = (await stat(path).catch(() => null))?.ino !== ino;
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      at += bytesRead;
      const lines = (rest + decoder.decode(buffer.subarray(0, bytesRead), { stream: true })).split("\n");
      rest = (lines.pop() ?? "").slice(0, LONGEST_LINE);
      for (const line of lines) {
        const parsed = parseServerLogLine(line.slice(0, LONGEST_LINE));
        // Lines without a word are the server's banner.
        if (/[\p{L}\p{N}]/u.test(parsed.message)) onLine(parsed);
      }
    }
    if (replaced || signal.aborted) return;
    await sleep(POLL_MS, signal);
  }
}

async function size(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0;
}
