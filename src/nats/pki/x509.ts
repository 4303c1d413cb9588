/** The certificate library with what it needs at run time, in the order in which it needs it. */
import "reflect-metadata";

export * from "@peculiar/x509";
