// npm ws, driven by orders: {send}, {binary}, {ping}, {close: [code, reason]}, {terminate}.
import WebSocket from 'ws';
import { TARGET, bearer, orders, say } from './lib.mjs';

const { ORIGIN: origin, PROTOCOL } = process.env;
const socket = new WebSocket(TARGET, PROTOCOL ? [PROTOCOL] : [], { headers: bearer(), ...(origin && { origin }), handshakeTimeout: 10_000, perMessageDeflate: true });
socket.on('open', () => say('open', { text: socket.extensions, event: socket.protocol }));
socket.on('message', (data, binary) => say(binary ? 'binary' : 'message', { text: data.toString() }));
socket.on('ping', () => say('ping'));
socket.on('pong', (data) => say('pong', { text: data.toString() }));
socket.on('error', (err) => say('error', { text: String(err) }));
socket.on('close', (code, reason) => say('close', { code, text: reason.toString() }));
socket.on('unexpected-response', (_, response) => {
  let body = '';
  response.on('data', (part) => (body += part)).on('end', () => say('refused', { code: response.statusCode, text: body }));
});
orders((order) => {
  if ('send' in order) socket.send(order.send);
  if ('binary' in order) socket.send(Buffer.from(order.binary));
  if ('ping' in order) socket.ping(order.ping);
  if ('close' in order) socket.close(...order.close);
  if ('terminate' in order) socket.terminate();
});
