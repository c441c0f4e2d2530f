/** The worker of piscina. */
export default (message: Uint8Array): Uint8Array => message;
