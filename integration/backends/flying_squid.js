// A Minecraft server (Java edition) for one case: node flying_squid.js FOLDER PORT, with flying-squid installed in FOLDER.
const path = require('path')

const [folder, port] = process.argv.slice(2)
const { createMCServer } = require(path.join(folder, 'node_modules', 'flying-squid'))

createMCServer({
  port: Number(port),
  // An older version of the game: its data are loaded in a second.
  version: '1.16.1',
  motd: 'portti',
  logging: false,
  'online-mode': false,
  'max-players': 10,
  'max-entities': 10,
  'view-distance': 2,
  'everybody-op': false,
  'player-list-text': { header: { text: '' }, footer: { text: '' } },
  generation: { name: 'superflat', options: { worldHeight: 80 } },
  gameMode: 0,
  difficulty: 0,
  kickTimeout: 10000,
  modpe: false,
  plugins: {}
})
