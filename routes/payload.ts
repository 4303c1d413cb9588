/** A payload as JSON has it. */
import { Buffer } from "node:buffer";

/** `<name>Text` where the bytes are UTF-8, else `<name>Base64`. */
export function payloadFields<N extends string>(
  name: N,
  data: Uint8Array,
): { readonly [K in `${N}Text` | `${N}Base64`]?: string } {
  const field = (end: "Text" | "Base64", value: string) =>
    ({ [`${name}${end}`]: value }) as { readonly [K in `${N}Text` | `${N}Base64`]?: string };
  try {
    return field("Text", new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data));
  } catch {
    return field("Base64", Buffer.from(data).toString("base64"));
  }
}
