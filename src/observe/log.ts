/** Log lines of the sidecar: text for people, JSON for machines. */

export type LogLevel = "debug" | "info" | "warn" | "error";
export type Log = (level: LogLevel, part: string, message: string) => void;

/** A log that writes one line an entry. `part` is what speaks: `nats`, `control`, `view`, `api`. */
export function createLog(options: {
  readonly format: "text" | "json";
  readonly write: (line: string) => void;
  readonly now: () => Date;
  readonly site: string;
}): Log {
  const { format, write, now, site } = options;
  return (level, part, message) => {
    const time = now().toISOString();
    // One entry is one line, whatever it quotes.
    const line = message.replace(/[\r\n]+/g, " ");
    write(
      format === "json"
        ? `${JSON.stringify({ time, level, site, part, message: line })}\n`
        : `${time} ${level.toUpperCase().padEnd(5)} ${site} ${part}: ${line}\n`,
    );
  };
}
