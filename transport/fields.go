package transport

import "encoding/binary"

// Behind the records of a frame lie the fields of those that have any, in the order
// of the records: for each record the length u16 of its fields, and then each field
// as tag u8, length u16 and contents. A reader skips the tags that it doesn't know.
const (
	fieldsHeader = 2
	fieldHeader  = 3

	// fieldCount, of a hit, says that so many equal ones are meant.
	fieldCount = 1
	// fieldStatement and fieldRefused, of a hit, are what else it says.
	fieldStatement = 2
	fieldRefused   = 3
	// fieldRun, of a verdict, is what those are told; see putRun.
	fieldRun = 1
	// fieldGrant, of a verdict, answers a statement.
	fieldGrant = 2
)

// beginFields appends the length of a record's fields, for endFields to fill in.
func beginFields(b []byte) (longer []byte, start int) {
	return append(b, 0, 0), len(b)
}

func endFields(b []byte, start int) {
	binary.BigEndian.PutUint16(b[start:], uint16(len(b)-start-fieldsHeader))
}

// appendField appends the header of a field whose contents are appended next.
func appendField(b []byte, tag uint8, size int) []byte {
	return binary.BigEndian.AppendUint16(append(b, tag), uint16(size))
}

// fields are those of one record, without their length.
type fields []byte

// cutFields takes the fields of the next record that has any off the tail. They are
// well formed.
func cutFields(tail []byte) (f fields, rest []byte, err error) {
	if len(tail) < fieldsHeader || len(tail)-fieldsHeader < int(binary.BigEndian.Uint16(tail)) {
		return nil, nil, malformed("fields go beyond the end")
	}
	end := fieldsHeader + int(binary.BigEndian.Uint16(tail))
	f, rest = fields(tail[fieldsHeader:end]), tail[end:]
	for left := f; len(left) > 0; {
		if len(left) < fieldHeader || len(left)-fieldHeader < int(binary.BigEndian.Uint16(left[1:])) {
			return nil, nil, malformed("a field goes beyond the end")
		}
		left = left[fieldHeader+int(binary.BigEndian.Uint16(left[1:])):]
	}
	return f, rest, nil
}

// get returns the contents of the first field with a tag.
func (f fields) get(tag uint8) (contents []byte, ok bool) {
	for len(f) > 0 {
		end := fieldHeader + int(binary.BigEndian.Uint16(f[1:]))
		if f[0] == tag {
			return f[fieldHeader:end], true
		}
		f = f[end:]
	}
	return nil, false
}
