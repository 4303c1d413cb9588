/** What a sidecar sees of its embedded server: its ends and beginnings, and what it says. */
import { errorText } from "../model/errors.ts";
import type { DataFolder } from "./data_folder.ts";
import { ensureKeeper, readExits } from "./keeper.ts";
import { type ProcessRef, readRunningProcess } from "./processes.ts";
import { followServerLog, readPastLog, type ServerLogLine } from "./server_log.ts";
import { sleep } from "./wait.ts";

const SUPERVISE_MS = 1000;

/** What the sidecar learns of its server. */
export type ServerEvent =
  | { readonly type: "log"; readonly line: ServerLogLine }
  /** What a server that runs already has said before. */
  | { readonly type: "past"; readonly line: ServerLogLine }
  /** The server went away by itself; the keeper starts it again. */
  | { readonly type: "exited"; readonly exits: number; readonly status: number }
  | { readonly type: "started"; readonly pid: number }
  /** The keeper was gone; a new one watches the server. */
  | { readonly type: "keeper_replaced"; readonly pid: number };

/** Whose server it is, and who hears of it. */
export interface WatchedServer {
  readonly folder: DataFolder;
  readonly onEvent?: (event: ServerEvent) => void;
}

/** Keeps a keeper there, and reports the server's ends and beginnings. */
export async function supervise(options: WatchedServer, signal: AbortSignal): Promise<void> {
  const { folder } = options;
  let { exits } = await readExits(folder);
  let pid = (await readRunningProcess(folder.file("serverPid")))?.pid;
  while (!signal.aborted) {
    await sleep(SUPERVISE_MS, signal);
    if (signal.aborted) return;
    try {
      const keeper = await ensureKeeper(folder);
      if (keeper !== null) options.onEvent?.({ type: "keeper_replaced", pid: keeper });
      const now = await readExits(folder);
      if (now.exits > exits) options.onEvent?.({ type: "exited", ...now });
      exits = now.exits;
      const current = (await readRunningProcess(folder.file("serverPid")))?.pid;
      if (current !== undefined && current !== pid) options.onEvent?.({ type: "started", pid: current });
      pid = current ?? pid;
    } catch (thrown) {
      const message = `Cannot watch nats-server: ${errorText(thrown)}`;
      options.onEvent?.({ type: "log", line: { level: "error", message } });
    }
  }
}

/** Tells what the server says, and what one that runs already has said before. */
export async function followLog(
  options: WatchedServer,
  running: ProcessRef | null,
  signal: AbortSignal,
): Promise<void> {
  const { onEvent } = options;
  if (onEvent === undefined) return;
  const onLine = (line: ServerLogLine) => onEvent({ type: "log", line });
  const path = options.folder.file("serverLog");
  let from: number | "end" = "end";
  while (!signal.aborted) {
    try {
      if (running !== null) {
        const { pid } = running;
        running = null;
        from = await readPastLog(path, pid, (line) => onEvent({ type: "past", line }));
      }
      await followServerLog(path, from, onLine, signal);
    } catch (thrown) {
      from = "end";
      onLine({ level: "error", message: `Cannot read ${path}: ${errorText(thrown)}` });
      await sleep(SUPERVISE_MS, signal);
    }
  }
}
