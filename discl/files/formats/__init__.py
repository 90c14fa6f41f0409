"""Files of others: what photos hold beside 8 bits a channel, cut-off ends, tables of pictures."""
