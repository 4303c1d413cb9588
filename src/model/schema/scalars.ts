/** The scalar values of configuration documents, each with a message that says what was expected. */
import { isIPv6 } from "node:net";
import { z } from "zod";
import { caProblem } from "../certificate.ts";
import { nameProblem } from "../names.ts";
import { patternProblem } from "../subject.ts";
import { formatBytes, parseBytes, parseDurationMs } from "../units.ts";

/** A string that `problem` has nothing against; the message is `'<value>' <problem>`. */
export function checked(problem: (text: string) => string | null) {
  return z.string().superRefine((text, context) => {
    const message = problem(text);
    if (message !== null) context.addIssue({ code: "custom", message: `'${text}' ${message}` });
  });
}

/** Name of a site, tenant or policy. */
export const Name = checked(nameProblem).meta({ example: "berlin" });

/** A NATS subject pattern. */
export const Pattern = checked((text) => {
  const problem = patternProblem(text);
  return problem === null ? null : `is no subject pattern: it ${problem}`;
}).meta({ example: "acme.orders.*.v1" });

/** A duration in text; `minMs` and `maxMs` bound it. The parsed value stays text, see `parseDurationMs`. */
export function duration(bounds: { minMs?: number; maxMs?: number } = {}) {
  return checked((text) => {
    const ms = parseDurationMs(text);
    if (ms === null) return "is no duration (expected for example 250ms, 30s, 2m, 1h30m, 7d)";
    if (bounds.minMs !== undefined && ms < bounds.minMs) return `is shorter than ${bounds.minMs} ms`;
    if (bounds.maxMs !== undefined && ms > bounds.maxMs) return `is longer than ${bounds.maxMs} ms`;
    return null;
  });
}

/** A size in text, from `minBytes` to `maxBytes`. */
export function size(minBytes = 1, maxBytes = Number.MAX_SAFE_INTEGER) {
  return checked((text) => {
    const bytes = parseBytes(text);
    if (bytes === null) return "is no size (expected for example 512KiB, 10MB, 2GiB)";
    if (bytes < minBytes) return `is smaller than ${minBytes} bytes`;
    return bytes > maxBytes ? `is larger than ${formatBytes(maxBytes)}` : null;
  });
}

/** Whether a text is a host as it stands in a URL: a name, an IPv4 address, or one of IPv6 in brackets. */
function isHost(text: string): boolean {
  const v6 = /^\[([0-9a-fA-F:.]+)\]$/.exec(text)?.[1];
  return v6 === undefined ? /^[A-Za-z0-9._-]{1,253}$/.test(text) : isIPv6(v6);
}

/** Whether a text is `host:port`, and nothing that a URL with it would read otherwise. */
export function isHostPort(text: string): boolean {
  const [, host = "", port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  return port !== undefined && Number(port) <= 65_535 && isHost(host);
}

/** `host:port`; port 0 means any free one. */
export const Address = checked((text) =>
  isHostPort(text) ? null : "is no address (expected host:port)",
).meta({ example: "127.0.0.1:4222" });

export const InvitationId = z.string().regex(/^[0-9a-f]{16}$/);

/** Public nkey of a user or a site. A value that may be a seed is never repeated in a message. */
export const PublicKey = z
  .string()
  .superRefine((text, context) => {
    if (/^U[A-Z2-7]{55}$/.test(text)) return;
    const message = text.startsWith("S")
      ? "this is a seed: give the public key (U…), and keep the seed secret"
      : `'${text}' is no public key (expected U and 55 characters of A-Z, 2-7)`;
    context.addIssue({ code: "custom", message });
  })
  .meta({ example: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4" });

/** Certificates of a peer's CA, PEM. What is given is never repeated: it may be a key. */
export const CaCertificates = z.string().superRefine((text, context) => {
  const problem = caProblem(text);
  if (problem !== null) context.addIssue({ code: "custom", message: `the CA ${problem}` });
});

/** Name of a header field, or with `*` at its end a class of them. */
export const HeaderPattern = checked((text) =>
  /^[!#$%&'+\-.^_`|~0-9A-Za-z]+\*?$/.test(text) ? null : "is no header name (a '*' may end it)",
);
export const HeaderName = checked((text) =>
  /^[!#$%&'+\-.^_`|~0-9A-Za-z]+$/.test(text) ? null : "is no header name",
);
/** A value of a header: one line. */
export const HeaderValue = checked((text) => (/[\r\n\0]/.test(text) ? "has a line break or NUL" : null));

/** A map by names of header fields. A `__proto__` would be lost on the way, without a word: it is refused. */
export function byHeaderName<T extends z.ZodType>(value: T) {
  return z.preprocess(
    (input, context) => {
      if (typeof input === "object" && input !== null && Object.hasOwn(input, "__proto__")) {
        context.addIssue({
          code: "custom",
          path: ["__proto__"],
          message: "'__proto__' cannot be named here",
        });
      }
      return input;
    },
    z.record(HeaderName, value),
  );
}

/** The subject that a rule gives to its events, with `*`, `$1` and `>` for what its patterns hold. */
export const RewriteTarget = checked((text) => {
  const problem = patternProblem(text);
  return problem === null ? null : `is no subject to rewrite to: it ${problem}`;
}).meta({
  description:
    "Subject at the peers: `*` takes the next wildcard of the pattern that matched, `$2` its second, a last `>` its rest",
  example: "acme.shared.orders.*",
});

/** Text of at most `maxLength` characters that every reader of JSON takes for the same. */
export function jsonText(maxLength: number) {
  return z
    .string()
    .max(maxLength)
    .refine((text) => text.isWellFormed(), { message: "holds half a surrogate pair" });
}

/** An attribute of a CloudEvent that a policy gives: printable ASCII without white space. */
export const EventAttribute = checked((text) => {
  if (text === "") return "is empty";
  if (text.length > 512) return "is longer than 512 characters";
  return /^[!-~]+$/.test(text) ? null : "has white space or what is not printable ASCII";
});
