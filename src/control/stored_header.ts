/** Reads one header of a stored message as the server does. The client's own reader throws at what events may hold. */
import type { StoredMsg } from "@nats-io/jetstream";

/** What the client keeps of the server's answer. Source: @nats-io/jetstream 3.4, jsmstream_api. */
interface Answer {
  readonly smr?: { readonly message?: { readonly hdrs?: string } };
}

/**
 * The value of the last header line of that name, where the server writes its own; empty when there is none. Lines end with CR
 * and LF: a bare LF is part of a value, and begins no line.
 */
export function storedHeader(message: StoredMsg, name: string): string {
  const { smr } = message as unknown as Answer;
  if (smr?.message === undefined) return message.header.get(name);
  const block = Buffer.from(smr.message.hdrs ?? "", "base64").toString("latin1");
  const line = block.split("\r\n").findLast((one) => one.startsWith(`${name}:`));
  return line === undefined ? "" : line.slice(name.length + 1).trim();
}
